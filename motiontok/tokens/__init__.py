"""What the public tokenizer is made of: its folder, checks of what comes in, streams, flat ids."""
