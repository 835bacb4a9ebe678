"""The study's eight research questions, answered from the claims' measurements; the answers are made, not typed."""

from collections.abc import Mapping
from dataclasses import dataclass

from trojancam_study.measurements import Verdict, all_of
from trojancam_study.piece_records import Record

CONTRADICTIONS = (
    "The study's text places the trigger of trojan1 in the top left corner, the caption of its figure 17 in the top right; "
    "here it is in the top left.",
    "It numbers the convolutions of the first two networks from conv2d_1 and those of trojan2 from conv2d_5; its feature maps "
    "31 of conv2d_6 and 78 of conv2d_9 exist only so, and its “layer 2” is conv2d_2 here.",
)


@dataclass(frozen=True)
class Question:
    """A question, the claims that decide it, the answer that each outcome of these gives, and claims to be quoted beside."""

    text: str
    claims: tuple[str, ...]
    answers: Mapping[Verdict, str]
    beside: tuple[str, ...] = ()

    def answer(self, records: Mapping[str, Record]) -> str | None:
        """The answer in words and numbers; None if a claim that it needs was not measured."""
        quoted = (*self.claims, *self.beside)
        if not all(claim in records for claim in quoted):
            return None
        outcome = all_of(*(records[claim]["verdict"] or "cannot tell" for claim in self.claims))
        return " ".join([self.answers[outcome], *(records[claim]["found"] for claim in quoted)])


def _answers(agrees: str, disagrees: str, cannot_tell: str) -> dict[Verdict, str]:
    return {"agrees": agrees, "disagrees": disagrees, "cannot tell": cannot_tell}


QUESTIONS = (
    Question(
        "Are heat maps a suitable means of explaining a traffic sign network?",
        ("claim-h", "claim-b"),
        _answers(
            "Yes, if single feature maps are looked at beside the layers' own maps.",
            "Not by themselves: what they show is not always what was claimed of them.",
            "For part of what they are used for; the rest could not be told.",
        ),
    ),
    Question(
        "Which variant of Grad-CAM is best, and why?",
        ("claim-e",),
        _answers(
            "Grad-CAM, as the study chose: removing what it ranks highest changes the answer more than with Grad-CAM++.",
            "Not the study's choice: removing what Grad-CAM++ ranks highest changes the answer more.",
            "Neither Grad-CAM nor Grad-CAM++ is clearly ahead.",
        ),
    ),
    Question(
        "Which features do the networks look at?",
        ("claim-h",),
        _answers(
            "The sign, more than its share of the image.",
            "Their surroundings, no less than the sign.",
            "That could not be told.",
        ),
    ),
    Question(
        "Are these the right features?",
        ("claim-h", "claim-i"),
        _answers(
            "On ordinary training data mostly, but not where the data ties a class to something else.",
            "That cannot be relied upon.",
            "That could not be told for all of it.",
        ),
    ),
    Question(
        "How can a network be made more robust with their help?",
        ("claim-i",),
        _answers(
            "By breaking, in the training data, the tie that the heat maps uncover.",
            "Not by breaking the tie in the training data: heat maps did not lead to a remedy here.",
            "Whether breaking the tie in the training data helps could not be told.",
        ),
    ),
    Question(
        "Do heat maps find a trigger that is in the image?",
        ("claim-b",),
        _answers(
            "Yes: single feature maps do, also where the layer's own map does not.",
            "Single feature maps do no better than the layers' own maps.",
            "In part.",
        ),
        ("claim-a",),
    ),
    Question(
        "Do they find transparent triggers?",
        ("claim-f",),
        _answers(
            "Single feature maps do; the layers' own maps lose the trigger as it grows more transparent.",
            "Not in the way that the study had it.",
            "Opacity does not decide it clearly.",
        ),
    ),
    Question(
        "Do they find a trigger that is not in the image?",
        ("claim-g",),
        _answers(
            "Yes, once feature maps are stimulated where a scan found that the network listens.",
            "No: stimulated feature maps show it no better than chance or than other maps.",
            "In part.",
        ),
        ("claim-d",),
    ),
)


def research_questions(records: Mapping[str, Record], source: str, seeds: tuple[int, ...]) -> str:
    """All questions and answers as Markdown."""
    parts = [
        "# The eight research questions",
        f"Made by `trojancam reproduce` from its measurements on {source}, {len(seeds)} training{'s' * (len(seeds) > 1)} of each "
        "network. Intervals are 95 %, over trainings and images.",
    ]
    for number, question in enumerate(QUESTIONS, 1):
        answer = (
            question.answer(records)
            or f"Not measured yet: it needs {' and '.join((*question.claims, *question.beside))}."
        )
        parts += [f"## {number}. {question.text}", answer]
    parts += ["## Contradictions within the study", "\n".join(f"- {words}" for words in CONTRADICTIONS)]
    return "\n\n".join(parts) + "\n"
