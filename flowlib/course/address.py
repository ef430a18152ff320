"""Where a section is found, as JupyterLab follows it."""


def address(page: str, heading: str) -> str:
    """The file of a page and the anchor of a heading on it. Letters of ASCII alone survive the way through an address,
    and no brackets or formulas: with another heading it is the page, which then opens at its top.

    >>> address("02_the_plane.ipynb", "3. The price"), address("02_the_plane.ipynb", "The law of û")
    ('02_the_plane.ipynb#3.-The-price', '02_the_plane.ipynb')
    """
    anchor = heading.replace(" ", "-")
    return f"{page}#{anchor}" if anchor.isascii() and not set(anchor) & set("()$`") else page
