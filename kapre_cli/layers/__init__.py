"""The two layers: their signal processing in NumPy, and as Keras layers."""
