"""Write the schemas and examples anew."""

from messages.schemas import FOLDER, documents

for name, text in documents().items():
    (FOLDER / name).write_text(text, encoding="utf-8")
