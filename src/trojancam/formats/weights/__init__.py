"""Weights in PyTorch's own files and in safetensors files."""
