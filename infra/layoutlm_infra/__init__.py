"""The parts of a deployment on AWS, each one component; `__main__.py` puts them together."""
