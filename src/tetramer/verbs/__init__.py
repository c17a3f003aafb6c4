"""What `tetramer VERB` does: each verb a typed function, its signature the parser and its docstring the help."""
