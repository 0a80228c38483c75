"""What to train next, and what to expect of it: each change with its reason and with what that rests on."""
