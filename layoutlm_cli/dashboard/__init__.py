"""The pages of `layoutlm-cli dashboard`: what runs, queues and workers do, rendered here and sent as HTML."""
