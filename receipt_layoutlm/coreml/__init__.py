"""A finished checkpoint turned into the CoreML bundle that the clients in the field download."""
