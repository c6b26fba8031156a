"""The account's pages under ``/dashboard/``."""

from django.urls import URLPattern, path

from accounts import pages, session_pages

urlpatterns: list[URLPattern] = [
    path("keys/", pages.keys, name="dashboard-keys"),
    path("keys/new/", pages.new_key, name="dashboard-new-key"),
    path("keys/<uuid:key_id>/revoke/", pages.revoke_key, name="dashboard-revoke-key"),
    path("sessions/", session_pages.sessions, name="dashboard-sessions"),
    path("sessions/others/end/", session_pages.end_others, name="dashboard-end-other-sessions"),
    path("sessions/<int:session_id>/end/", session_pages.end_session, name="dashboard-end-session"),
    path(
        "sessions/<uuid:family_id>/end/",
        session_pages.end_extension,
        name="dashboard-end-extension",
    ),
    path("data/", pages.data, name="dashboard-data"),
    path("data/export/", pages.export, name="dashboard-export"),
    path("data/delete/", pages.delete_account, name="dashboard-delete-account"),
]
