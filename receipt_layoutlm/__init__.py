"""The model: receipts to examples, training, evaluation, CoreML and inference. Import the part you need."""
