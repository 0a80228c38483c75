"""What the host tells a worker, and what the worker tells it back: EC2's notices and Auto Scaling."""
