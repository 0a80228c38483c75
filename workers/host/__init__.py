"""The host of a worker: EC2's notices, Auto Scaling, systemd, sleep prevention, out-of-memory kills."""
