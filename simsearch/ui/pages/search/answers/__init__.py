"""What the Search page shows, found in the index and put into words; nothing of Streamlit."""
