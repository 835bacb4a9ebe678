"""A zoo of clean and trojaned networks, declared as data, to judge detectors by.

    python -m benchmarks.zoo --data PATH [--part tune] [--only REGEX] [--cache FOLDER]

trains what is not in the cache yet (`$TROJANCAM_CACHE/zoo`), network by network, in the order of the declaration; a killed run
goes on where it was. `members.py` declares them, `triggers.py` draws what is planted, `data_sets.py` holds what they learn.
"""
