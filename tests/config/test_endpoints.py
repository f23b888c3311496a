"""The host of a deployment's requests, compared with the vendor's own table of hosts."""

from urllib.parse import urlsplit

import botocore.session
import pytest

from count_tokens_mw.config.params.bedrock import BedrockParams

SESSION = botocore.session.Session()
REGIONS = [
    region
    for partition in ("aws", "aws-us-gov", "aws-cn")
    for region in SESSION.get_available_regions("ec2", partition_name=partition)
]


def test_there_are_regions_to_judge_by() -> None:
    assert {"us-east-1", "eu-west-1", "us-gov-west-1"} <= set(REGIONS)


@pytest.mark.parametrize("region", REGIONS)
def test_bedrocks_host_is_the_one_that_botocore_asks(region: str) -> None:
    client = SESSION.create_client(
        "bedrock-runtime", region_name=region, aws_access_key_id="a", aws_secret_access_key="s"
    )
    endpoint = BedrockParams(aws_region_name=region).endpoint
    assert urlsplit(endpoint).netloc == urlsplit(client.meta.endpoint_url).netloc
