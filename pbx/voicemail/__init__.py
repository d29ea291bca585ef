"""Voicemail: mailboxes with their messages and greetings, sealed on the disk and listed in the store."""
