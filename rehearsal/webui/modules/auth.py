"""The two doors: the API's Basic password, and the UI's login with a cookie. Neither opens the other."""

import base64
import secrets
import urllib.parse

from modules import lies
from modules.errors import HTTPException
from modules.http import as_json


def api_users(text):
    """`user:password,user:password`. A colon in a password kills the start, as in the real one."""
    users = {}
    for pair in text.split(",") if text else []:
        user, password = pair.split(":")
        users[user] = password
    return users


def check_api(request, users):
    """Raises HTTPException 401."""
    if not users or lies.tells("open-api"):
        return
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise HTTPException(401, "Not authenticated")
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
        if not colon:
            raise ValueError
    except ValueError:
        raise HTTPException(401, "Invalid authentication credentials") from None
    if user in users and secrets.compare_digest(password.encode(), users[user].encode()):
        return
    raise HTTPException(401, "Incorrect username or password")


def ui_users(options):
    """Of --gradio-auth and of the file of --gradio-auth-path: pairs by commas or lines."""
    words = (options.gradio_auth or "").split(",")
    if options.gradio_auth_path:
        with open(options.gradio_auth_path, encoding="utf-8") as file:
            for line in file:
                words += line.split(",")
    pairs = [word.strip().split(":", 1) for word in words if word.strip()]
    return {user: password for user, password in pairs}


class UiDoor:
    def __init__(self, users):
        self.users = users
        self.tokens = {}
        self.suffix = secrets.token_urlsafe(8)

    def user_of(self, request):
        for part in request.headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name in (f"access-token-{self.suffix}", f"access-token-unsecure-{self.suffix}") and value in self.tokens:
                return self.tokens[value]
        return None

    def check(self, request):
        """Raises HTTPException 401."""
        if self.users and not lies.tells("open-config") and self.user_of(request) is None:
            raise HTTPException(401, "Not authenticated")

    def login(self, request):
        form = dict(urllib.parse.parse_qsl(request.body.decode("utf-8", "replace")))
        user, password = form.get("username", ""), form.get("password", "")
        known = user in self.users and secrets.compare_digest(password.encode(), self.users[user].encode())
        if not known:
            raise HTTPException(400, "Incorrect credentials.")
        token = secrets.token_urlsafe(16)
        self.tokens[token] = user
        cookies = [
            ("set-cookie", f"access-token-{self.suffix}={token}; HttpOnly; Path=/; SameSite=none; Secure"),
            ("set-cookie", f"access-token-unsecure-{self.suffix}={token}; HttpOnly; Path=/; SameSite=lax"),
        ]
        return as_json({"success": True}, headers=cookies)
