"""The loop of ``torch_stft`` on one thread: short files hold too little to be shared by two."""

import torch

from tests.benchmarks.contenders.task import told
from tests.benchmarks.contenders.torch_stft import features
from tests.benchmarks.contenders.writing import write_each

if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.inference_mode():
        write_each(told(), features)
