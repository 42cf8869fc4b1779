"""How items lie in files: folders of classes, arrays, listed files."""
