"""Small asyncio tools, independent of counting."""
