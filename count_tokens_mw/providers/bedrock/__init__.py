"""Amazon Bedrock: CountTokens, then bedrock-mantle."""
