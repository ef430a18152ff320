"""The search box over the glossary, without a browser."""

from flowlib.course.glossary import GLOSSARY
from flowlib.viz import look_up
from flowlib.viz.chapters.look_up import MOST, found


def test_names_come_before_sentences() -> None:
    names = [term.name for term in found("planar flow")]
    assert names[0] == "planar flow" and all(
        "planar flow" in " ".join([*term.spellings, term.sentence]).lower() for term in found("Planar Flow ")
    )


def test_each_word_finds_itself_first() -> None:
    for term in GLOSSARY:
        assert term.name in [hit.name for hit in found(term.name)][:2], term.name


def test_the_answer_follows_the_box() -> None:
    box = look_up()
    assert box.answer.value == ""
    box.text.value = "hutch"
    assert "<b>Hutchinson estimator</b>" in box.answer.value and r"$\mathbb E\,v^\top A v" in box.answer.value
    box.text.value = "e"
    assert box.answer.value.count("<b>") == MOST and "more: go on typing" in box.answer.value
    box.text.value = "no such thing"
    assert "no such word" in box.answer.value
    box.text.value = "  "
    assert box.answer.value == ""


def test_readers_without_a_kernel_get_a_picture() -> None:
    data, metadata = look_up()._repr_mimebundle_()
    assert data["text/plain"].startswith("LookUp: a box") and len(data["image/png"]) > 5000
    assert metadata["image/png"]["alt"] == look_up().alt
