"""The daemons: receive, claim, hold the lease, supervise a child, finish. Nothing here imports torch."""
