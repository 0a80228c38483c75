"""What makes a training fast and keeps it in memory, through the libraries' own extension points only."""
