"""The operations of the clients, each written once as a generator of requests."""
