"""The kinds of jobs, what submits them and the records that show them."""
