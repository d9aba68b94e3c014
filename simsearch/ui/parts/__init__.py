"""Parts of pages that Streamlit lacks, each a small script in assets/ and its Python side here."""
