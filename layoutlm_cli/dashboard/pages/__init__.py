"""One module a page: it gathers facts and has them rendered."""
