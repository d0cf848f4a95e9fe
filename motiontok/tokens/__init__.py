"""Parts of the public tokenizer: its folder, checks of inputs, streams, flat ids."""
