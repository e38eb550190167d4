"""A requester in Python, by nothing but the signal contract of docs/requesters.md.

Usage: requester.py ADDRESS PIPELINE TASK_QUEUE VALUE...
Prints a line of JSON for each value: what became of it. If KTB_ENCRYPTION is set, it is JSON with the keys by their ids and the active one,
and all is encrypted with the codec of examples/ktb_encryption.py.
"""

import asyncio
import dataclasses
import json
import os
import sys
import uuid
from datetime import timedelta

from temporalio import converter, workflow
from temporalio.client import Client
from temporalio.worker import Worker

TIMEOUT = timedelta(minutes=2)


@workflow.defn
class Requester:
    def __init__(self) -> None:
        self.confirmations: dict = {}

    @workflow.signal(name="ktb-confirmation")
    def confirm(self, confirmation: dict) -> None:
        self.confirmations[confirmation["id"]] = confirmation

    @workflow.run
    async def run(self, pipeline: str, task_queue: str, value: str) -> dict:
        request_id = str(workflow.uuid4())
        opened = await workflow.execute_activity(
            "openBatcher",
            {"pipeline": pipeline, "id": request_id},
            task_queue=f"{task_queue}.requests",
            schedule_to_close_timeout=TIMEOUT,
        )
        batcher = workflow.get_external_workflow_handle(opened["batcher"])
        await batcher.signal(
            "submit",
            {
                "format": "ktb-request/1",
                "id": request_id,
                "requester": workflow.info().workflow_id,
                "value": value,
            },
        )
        await workflow.wait_condition(lambda: request_id in self.confirmations, timeout=TIMEOUT)
        return self.confirmations[request_id]


def data_converter() -> converter.DataConverter:
    encryption = json.loads(os.environ.get("KTB_ENCRYPTION", "null"))
    if encryption is None:
        return converter.default()
    from ktb_encryption import EncryptionCodec

    return dataclasses.replace(
        converter.default(),
        payload_codec=EncryptionCodec(encryption["keys"], encryption["active"]),
        failure_converter_class=converter.DefaultFailureConverterWithEncodedAttributes,
    )


async def main(address: str, pipeline: str, task_queue: str, values: list[str]) -> None:
    client = await Client.connect(address, data_converter=data_converter())
    own_queue = f"{task_queue}.python"
    async with Worker(client, task_queue=own_queue, workflows=[Requester]):
        confirmations = [
            client.execute_workflow(
                Requester.run,
                args=[pipeline, task_queue, value],
                id=f"python-{uuid.uuid4()}",
                task_queue=own_queue,
            )
            for value in values
        ]
        for confirmation in await asyncio.gather(*confirmations):
            print(json.dumps(confirmation))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
    # The SDK's own threads may touch the interpreter while it finalizes, which ends it by a fatal error. Nothing is left to do.
    sys.stdout.flush()
    os._exit(0)
