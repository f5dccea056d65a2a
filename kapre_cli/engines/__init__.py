"""The engines that compute the features of frames: NumPy, and the Keras layers."""
