"""Speed and memory optimisations of training, only through the libraries' own extension points."""
