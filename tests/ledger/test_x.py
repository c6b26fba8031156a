from django.db import connection
def test_x(clean_books):
    with connection.cursor() as c:
        c.execute("select current_database()"); print(c.fetchone(), connection.settings_dict["NAME"], connection._connection_pools)
    assert 0
