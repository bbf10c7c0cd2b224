"""The training wing: from checked arrays to a trained net."""
