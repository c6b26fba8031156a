"""The account's addresses under ``/api/``."""

from django.urls import URLPattern, path

from accounts.views.backup import Backup
from accounts.views.keys import KeyDetail, KeyList
from accounts.views.leaving import Account, Export
from accounts.views.tickets import WsTicket

urlpatterns: list[URLPattern] = [
    path("keys", KeyList.as_view(), name="keys"),
    path("keys/<uuid:key_id>", KeyDetail.as_view(), name="key"),
    path("backup", Backup.as_view(), name="backup"),
    path("account", Account.as_view(), name="account"),
    path("account/export", Export.as_view(), name="account-export"),
    path("ws-ticket", WsTicket.as_view(), name="ws-ticket"),
]
