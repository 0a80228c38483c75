"""What the clients can do, each operation written once as a generator of requests (`steps`)."""
