"""A registrar inside a FastAPI application: no thread, no second process, no global state.

    pip install fastapi uvicorn
    uvicorn examples.devices:api

Phones register as alice@127.0.0.1 with the password "wonderland"; http://127.0.0.1:8000/users/alice/devices lists them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import voipat

PASSWORDS = {"alice": "wonderland", "bob": "builder"}

registrar = voipat.Registrar("127.0.0.1", password_of=PASSWORDS.get)
app = voipat.App(listen="udp://127.0.0.1:5060", registrar=registrar)


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[None]:
    async with app:
        yield


api = FastAPI(lifespan=lifespan)


@api.get("/users/{user}/devices")
async def devices(user: str) -> list[str]:
    return [str(binding.contact) for binding in await registrar.bindings(user)]
