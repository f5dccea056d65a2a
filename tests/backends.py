"""What differs between the backends of Keras: arrays of tensors, gradients, compiled functions."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
from keras import ops

Array = npt.NDArray[Any]

BACKEND = keras.backend.backend()


def needs_tensorflow(what: str) -> pytest.MarkDecorator:
    """Skip a test of something that only TensorFlow has."""
    return pytest.mark.skipif(BACKEND != "tensorflow", reason=f"only TensorFlow has {what}")


def numbers(tensor: Any) -> Array:
    """Return a tensor as an array; bfloat16, which NumPy lacks, as float32."""
    if keras.backend.standardize_dtype(tensor.dtype) == "bfloat16":
        tensor = ops.cast(tensor, "float32")
    return np.asarray(ops.convert_to_numpy(tensor))


def compiled(layer: Any, shape: tuple[int | None, ...]) -> Callable[[Array], Any]:
    """Return a layer as a compiled function of inputs of a shape; ``None`` is any size."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(layer, input_signature=[tf.TensorSpec(shape)], autograph=False)
    if BACKEND == "jax":
        import jax

        return jax.jit(layer)
    return layer  # PyTorch's compiler takes seconds for each


def gradients(layer: Any, signal: Array, slopes: Array | float = 1.0) -> list[Array]:
    """Return the gradients of ``sum(slopes * layer(signal))``, of a layer that is built.

    The first one is that of the samples, the others those of the trainable weights.
    """
    samples = ops.convert_to_tensor(signal)
    weights = [weight.value for weight in layer.trainable_weights]
    if BACKEND == "jax":
        import jax

        def total(samples: Any, weights: Any) -> Any:
            return (slopes * layer.stateless_call(weights, [], samples)[0]).sum()

        of_samples, of_weights = jax.grad(total, argnums=(0, 1))(samples, weights)
        found = [of_samples, *of_weights]
    elif BACKEND == "torch":
        samples.requires_grad_()
        (ops.convert_to_tensor(slopes) * layer(samples)).sum().backward()
        found = [one.grad for one in (samples, *weights)]
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(samples)
            total = tf.reduce_sum(slopes * layer(samples))
        found = tape.gradient(total, [samples, *layer.trainable_weights])
    return [numbers(one) for one in found]
