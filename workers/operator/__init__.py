"""Operations of a person on jobs, queues and installed workers."""
