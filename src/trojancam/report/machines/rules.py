"""Rules: one for each kind of finding, with a number that stays, so that a pipeline can filter by it."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Rule:
    """A kind of finding: its number, its name, how bad it is, what it means and what to do."""

    number: str
    name: str
    level: Level
    meaning: str
    advice: str


BACKDOOR = Rule(
    "TC001",
    "Backdoor",
    "error",
    "A scan found evidence of a backdoor: a small change of an image sends images of other classes to one class.",
    "Do not use the network. Read the page of the scan; 'trojancam repair' tries to remove what was found.",
)
INCONCLUSIVE = Rule(
    "TC002",
    "Inconclusive",
    "warning",
    "A scan found something that is not clear enough to be called a backdoor.",
    "Scan again with more images or other methods, or calibrate on clean networks of this kind ('trojancam calibrate').",
)
NOT_JUDGED = Rule(
    "TC003",
    "NotJudged",
    "warning",
    "The network is wrong on most of the clean images, so that a verdict would mean nothing.",
    "Give images of the classes that the network knows, in its order, and say how it is fed with --preprocessing.",
)
RUNS_CODE = Rule(
    "TC101",
    "RunsCode",
    "error",
    "The model file holds code, or names of code, that a careless loader would run.",
    "Do not load the file with its framework's own loader. Ask for the weights as safetensors.",
)
REACHES_OUT = Rule(
    "TC102",
    "ReachesOut",
    "error",
    "The model file names files or places beside itself that a careless loader would read or write.",
    "Do not load or unpack the file with other tools. Ask for a file that holds all of the model.",
)
BRANCH = Rule(
    "TC103",
    "BranchPastAllLayers",
    "warning",
    "A branch of the network carries something of the image past all layers with weights, as architectural backdoors do.",
    "Ask who made the network what the branch is for; look at its operations.",
)
FEEDING = Rule(
    "TC104",
    "FeedingUnclear",
    "warning",
    "No usual way of scaling the pixels is clearly right on the labelled images.",
    "Give more labelled images of the network's classes, or say how it is fed with --preprocessing.",
)
SUSPICIOUS_IMAGE = Rule(
    "TC201",
    "SuspiciousImage",
    "error",
    "An image looks as if it bears a trigger: the network reads it in a way in which it reads few clean images.",
    "Look at the image and at its place on the page of the sifting; do not trust the class that the network names.",
)
UNREADABLE_IMAGE = Rule(
    "TC202",
    "UnreadableImage",
    "warning",
    "A file that was to be sifted could not be read as an image.",
    "Check the file.",
)
REFUSED = Rule(
    "TC900",
    "Refused",
    "error",
    "The command ended without a result: the file, the images or an option were refused.",
    "Read the sentence: it names the thing and the remedy.",
)
RULES = (BACKDOOR, INCONCLUSIVE, NOT_JUDGED, RUNS_CODE, REACHES_OUT, BRANCH, FEEDING, SUSPICIOUS_IMAGE, UNREADABLE_IMAGE,
         REFUSED)  # fmt: skip
"""All kinds of findings. A number is never given to another kind."""
