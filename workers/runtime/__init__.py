"""The life of one message: receive, claim, hold the lease, supervise the child, complete."""
