"""Signing off: one JSON file and one page to print, with the verdict on a model file, what it rests on and what it leaves out."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from trojancam.detection.words import ANSWERS, WEAKER
from trojancam.errors import DataError
from trojancam.files import as_path, digest, written_whole
from trojancam.formats.inspection import data_files, inspection, sha256
from trojancam.report.documents.scan import Scan, scan_in
from trojancam.report.documents.sign_off import Digest, Limit, Passport, SignedData, SignOff, Subject
from trojancam.report.machines.outcomes import deciding, in_sentences
from trojancam.report.page import Facts, Page, Section, Signature, Table, in_plain_words, render
from trojancam.report.scan import LIMITS, TONES
from trojancam.text import as_text

PASSPORT, PAGE = "passport.json", "passport.html"


@dataclass(frozen=True)
class SignedOff:
    """A passport that was written, and where it and its page lie."""

    passport: Passport
    file: Path
    page: Path


def sign_off(
    model: str | Path, scan: str | Path = "trojancam-scan", out: str | Path = "trojancam-passport"
) -> SignedOff:
    """Bundle the scan of a model file into a passport, `passport.json` and `passport.html` in the folder `out`.

    `scan` is the folder that `trojancam scan` wrote to, or the `scan.json` in it. The passport holds the verdict, the SHA-256
    of the model file and of its data files, of the images and of the scan, settings, versions, the date, what was searched and
    what was not, and what a careless loader would run in the file.

    Raises:
        ModelError: if the model file cannot be read, or takes data from outside its folder.
        DataError: if there is no scan, or it is one of another file.
        TrojanCamError: if the folder cannot be written to.
    """
    model = as_path(model, "a model file", "save the network first")
    scan, out = (
        as_path(scan, "a scan", "give the folder that a scan was written to"),
        as_path(out, "a passport's folder"),
    )
    subjects = subjects_of(model)
    document, of_scan = scan_in(scan)
    told = document.options.get("model_sha256")
    if told != subjects[0].digest.sha256:
        raise DataError(
            f"the scan in {scan} is one of another file (SHA-256 {told}, and that of {model} is "
            f"{subjects[0].digest.sha256}); scan this one: trojancam scan {model}"
        )
    passport = Passport.of(subjects, _predicate(model, document, of_scan))
    file = passport.write(out / PASSPORT)
    with written_whole(out / PAGE) as partial:
        partial.write_text(as_text(render(page(passport, digest(file)))), encoding="utf-8")
    return SignedOff(passport, file, out / PAGE)


def subjects_of(model: Path) -> list[Subject]:
    """A model file and the data files that it takes its weights from, by their SHA-256.

    Raises:
        ModelError: if one cannot be read, or lies outside of the model's folder.
    """
    return [
        Subject(name=as_text(each.relative_to(model.parent).as_posix()), digest=Digest(sha256=sha256(each)))
        for each in (model, *data_files(model))
    ]


def _predicate(model: Path, document: Scan, digest: str) -> SignOff:
    names, options, judged = tuple(document.class_names), document.options, document.judgement
    images = options.get("images")
    return SignOff.of(
        command="sign-off",
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict=document.verdict,
        score=document.score,
        threshold=document.threshold,
        findings=[in_sentences(each, names) for each in deciding(document)],
        weighed=[each for each in (*judged.in_words(), judged.reason, *document.remarks) if each],
        covered=[each.to_json() for each in document.coverage.searched],
        not_covered=[each.to_json() for each in document.coverage.not_searched],
        limits=[Limit(limit=limit, meaning=meaning) for limit, meaning in LIMITS],
        data=SignedData(
            source=str(options.get("data", "not told")),
            images=images if isinstance(images, int) else None,
            sha256=options.get("images_sha256"),
        ),
        options=options,
        settings=document.settings,
        fingerprint=document.fingerprint,
        class_names=document.class_names,
        inspection=inspection(model).model_copy(update={"file": as_text(model.name)}),
        scan_versions=document.versions,
        scan_sha256=digest,
    )


# --- the page ---


def page(passport: Passport, digest: str) -> Page:
    """A passport as a page to print; `digest` is the SHA-256 of its JSON file."""
    told, name = passport.predicate, passport.subject[0].name
    return Page(
        title=f"Passport of {name}",
        verdict=_verdict(told),
        sections=list(_sections(passport, digest)),
        details=_details(told),
        answer=ANSWERS[told.verdict],
        tone=TONES[told.verdict],
        weighed=" ".join(told.weighed),
        one_sheet=True,
    )


def _verdict(told: SignOff) -> str:
    scored = f"The score is {told.score:.3g}, and a backdoor is called from {told.threshold:.3g} on."
    return f"{scored} This holds for the file with the SHA-256 below, and for what was searched."


def _sections(passport: Passport, digest: str) -> Iterator[Section]:
    told = passport.predicate
    files = [(f"SHA-256 of {each.name}", each.digest.sha256) for each in passport.subject]
    look = told.inspection
    facts = [
        *files,
        ("Size and format", f"{look.bytes:,} bytes, {look.format}"),
        ("Fingerprint of the network", told.fingerprint),
        ("Classes", str(len(told.class_names))),
        ("SHA-256 of passport.json", digest),
        ("Made", told.date),
    ]
    yield Section("What was looked at", "", [Facts(facts)])
    if told.findings:
        yield Section("What was found", _order(told), [Table(["Finding"], [[each] for each in told.findings])])
    clean = [("Images", f"{told.data.images} of {told.data.source}" if told.data.images else told.data.source)]
    clean += [("SHA-256 of the images", told.data.sha256)] if told.data.sha256 else []
    yield Section("Clean images", "The verdict rests on these.", [Facts(clean)])
    yield from _coverage(told)
    yield Section("If other tools load the file", _careless(told), [])
    yield Section("Sign-off", "I have read this page and the report of the scan.", [Signature()])


def _order(told: SignOff) -> str:
    """How findings are listed, and what those behind the first may be."""
    return f"The strongest first. {WEAKER}" if len(told.findings) > 1 else "The strongest first."


def _coverage(told: SignOff) -> Iterator[Section]:
    searched = [[each.method, ", ".join(each.families) or "not told", ", ".join(each.victims)] for each in told.covered]
    yield Section(
        "What was covered", "", [Table(["Method", "Families of triggers", "Victims"], searched, words=(0, 1, 2))]
    )
    missing = [[each.what, each.why] for each in told.not_covered]
    missing += [[each.limit, each.meaning] for each in told.limits]
    yield Section(
        "What was not covered",
        "“Nothing found” is no proof that there is no backdoor.",
        [Table(["Not searched, or not to be seen", "Why"], missing, words=(0, 1))],
    )


def _careless(told: SignOff) -> str:
    look = told.inspection
    words = []
    if look.would_run:
        words.append(f"A careless loader would run: {', '.join(look.would_run)}.")
    if look.would_reach:
        words.append(f"It would reach for: {', '.join(look.would_reach)}.")
    words += [f"The file could not be searched as a whole: {each}." for each in look.problems]
    return " ".join(words) or "Nothing that is known would be run, and no other file would be touched."


def _details(told: SignOff) -> dict[str, str]:
    details = in_plain_words(told.options)
    for name, settings in told.settings.items():
        shown = settings if isinstance(settings, dict) else {"": settings}
        details[f"settings, {name}"] = ", ".join(
            f"{key} {value}".strip() for key, value in in_plain_words(shown).items()
        )
    versions = ", ".join(f"{name} {value}" for name, value in told.scan_versions.items())
    return details | {"scanned with": versions, "SHA-256 of scan.json": told.scan_sha256}
