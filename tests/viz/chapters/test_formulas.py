"""The search over the index: menus and a field narrow what is shown."""

import base64

from flowlib.viz import explore_formulas


def shown(search) -> str:
    (output,) = search.output.outputs
    return output["data"]["text/markdown"]


def test_a_word_narrows_the_rows():
    search = explore_formulas()
    assert "matrix determinant lemma" in shown(search)
    search.word.value = "HUTCHINSON"
    assert "Hutchinson's probes" in shown(search) and "matrix determinant lemma" not in shown(search)
    search.word.value = "no such word"
    assert "Nothing fits." in shown(search)


def test_menus_narrow_the_rows():
    search = explore_formulas()
    search.word.value = ""
    search.source.value, search.kind.value = "wiki", "claim"
    assert "a density has values in [0, 1]" in shown(search) and "radial flow" not in shown(search)
    assert "every proof holds" in repr(search.found)


def test_a_page_without_a_kernel_has_a_picture_in_its_place():
    data, metadata = explore_formulas()._repr_mimebundle_()
    assert data["text/plain"].startswith("Search") and base64.b64decode(data["image/png"])[1:4] == b"PNG"
    assert "rows of the index" in metadata["image/png"]["alt"]
