"""Prints the narrow-band PESQ score (MOS-LQO, ITU-T P.862 and P.862.1) of a WAV file against a reference."""

import sys
import wave

import numpy
from pesq import pesq


def samples(path):
    with wave.open(path) as file:
        assert file.getframerate() == 8000 and file.getnchannels() == 1 and file.getsampwidth() == 2, path
        return numpy.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(numpy.float32) / 32768


print(pesq(8000, samples(sys.argv[1]), samples(sys.argv[2]), "nb"))
