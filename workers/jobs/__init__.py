"""The job kinds, their submission and their records."""
