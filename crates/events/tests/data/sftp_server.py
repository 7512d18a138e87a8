"""An SFTP server that lets the user `worker` in with a password: sftp_server.py PORT FOLDER KEY PASSWORD."""

import asyncio
import sys

import asyncssh

PORT, FOLDER, KEY, PASSWORD = sys.argv[1:]


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return (username, password) == ("worker", PASSWORD)


async def main():
    await asyncssh.listen(
        "127.0.0.1",
        int(PORT),
        server_factory=Server,
        server_host_keys=[KEY],
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=FOLDER),
    )
    await asyncio.Event().wait()


asyncio.run(main())
