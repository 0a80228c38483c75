"""The options of a training by what they are about; together they are the hyperparameters of a message."""
