"""Images that nobody took: synthesis from label maps, for training across contrasts."""
